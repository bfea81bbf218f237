"""The REST endpoints: schema in, guard, one call, schema out. What 4.x changed is in v3 and v4."""
