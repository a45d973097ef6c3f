"""Serve another application on the server of app.py, so that nothing but the application differs.

python on_our_server.py floor --port 8000
"""

import sys

if __name__ == "__main__":
    import app  # of the project

    name, make_server = sys.argv.pop(1), app.make_server
    app.check_model = lambda path, config: None
    app.make_server = lambda target, config: make_server(f"{name}:create_app", config)
    app.main()
