"""Commands that this plugin adds to the command line."""
