"""Which programs are installed. Run inside their environment: `versions.py WHAT CONFIG.json`."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

found = {name: version(name) for name in json.loads(Path(sys.argv[2]).read_text())["names"]}
sys.stdout.write("\n" + json.dumps(found))
