"""An example: readability, keywords and similarities of a folder of documents."""
