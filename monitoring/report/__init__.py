"""The same facts for people: tables on a terminal, and a page."""
