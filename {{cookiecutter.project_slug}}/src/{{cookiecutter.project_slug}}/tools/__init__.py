"""Helpers round the project itself: none of the modules above needs them."""
