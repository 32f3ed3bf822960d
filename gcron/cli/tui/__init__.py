"""The screen of `gcron top` with the extra `gcron[tui]`. Its modules import Textual, and only `top.py` imports them."""
