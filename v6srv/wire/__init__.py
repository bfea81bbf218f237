"""The 3.x contract, and nothing else: shapes, links, paging, error bodies."""
