"""Sockets: who hears what, and what nodes tell."""
