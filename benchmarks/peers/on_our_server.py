"""Serve another application on the server of app.py, so that nothing but the application differs.

python on_our_server.py floor --port 8000
"""

import sys

if __name__ == "__main__":
    import app  # of the project

    name, server = sys.argv.pop(1), app.Server
    app.check_columns = lambda path, config: None
    app.Server = lambda target, **settings: server(f"{name}:create_app", **settings)
    app.main()
