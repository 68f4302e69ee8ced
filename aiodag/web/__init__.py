"""The server and its page: what a service can be asked over HTTP. The extra `web`."""
