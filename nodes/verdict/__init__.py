"""Reads what a judge replies. `reading` has the whole, the other files a part each."""
