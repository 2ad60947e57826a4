"""The client for asyncio. `_sync` is made from this by `script/make_sync.py`: change it here."""
