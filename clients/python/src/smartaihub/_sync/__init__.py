"""The client for threads, made from `_async` by `script/make_sync.py`: change it there."""
