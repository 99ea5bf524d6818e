"""Pictures that are larger than the network's canvas: predicted window by window, and put together."""
