"""What app.py serves its model with: checks of requests, pages, and what keeps it running."""
