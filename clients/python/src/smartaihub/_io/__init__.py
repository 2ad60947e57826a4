"""The little in which waiting and doing differ: one module for asyncio, one for threads, with the same names."""
