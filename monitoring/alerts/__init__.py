"""From facts to messages: rules find problems, the book tells what is new, channels carry it."""
