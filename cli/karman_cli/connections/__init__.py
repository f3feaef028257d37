"""Where commands that operate runs work: on an engine of this process, or on a server over HTTP."""
