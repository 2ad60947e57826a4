"""What surfaces share: authentication, paging, rate limits, streaming, uploads."""
