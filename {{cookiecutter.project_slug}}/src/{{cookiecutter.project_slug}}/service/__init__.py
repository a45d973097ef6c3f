"""What app.py needs: request validation and model reloading."""
