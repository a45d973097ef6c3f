"""What app.py needs beside the model: requests, the API's description, the server."""

TITLE = __name__.split(".")[0].replace("_", " ").capitalize()
