import pytest, schemathesis
from schemathesis.config import SchemathesisConfig
import tests.api.test_fuzz as base
base.EXAMPLES = 60
@pytest.mark.parametrize("backend", ["sqlite","postgresql"], indirect=True)
@pytest.mark.parametrize("who", ["second_root","org_admin"])
def test_mine(app, world, call, who, backend):
    schema = schemathesis.openapi.from_wsgi("/apispec_1.json", app, config=SchemathesisConfig.from_dict({}))
    headers = {"Authorization": f"Bearer {call.token(who)}"}
    mine = [o for o in (f.ok() for f in schema.get_all_operations()) if o.path.startswith(("/access","/.well","/api/policy/who","/api/policy/can","/api/policy/matrix"))]
    assert len(mine) == 9, [o.path for o in mine]
    for o in mine: base._fuzz(o, headers)
