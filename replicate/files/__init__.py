"""Files on disk: whole or absent, checked, typed; nothing of this project's subject."""
