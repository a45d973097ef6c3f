"""What app.py needs beside the model: requests, the API's description, the server."""
