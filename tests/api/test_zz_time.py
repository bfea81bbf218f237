import time
import tests.api.test_queries as q
from tests.api.test_queries import LISTS, ROWS, PAGE, open_app, grow, Caller, db
from tests.api.test_queries import _requests
def test_t(databases, backend):
    with open_app(databases, backend, with_world=True) as (app, world):
        t=time.time()
        with db.session.get_bind().begin() as c: grow(c, world, 1000)
        print("grow", time.time()-t)
        call=Caller(app)
        out=[]
        for route in (*LISTS,*ROWS):
            for who,q in _requests(route):
                call(who,"GET","/organization",query=PAGE)
                t=time.time(); a=call(who,"GET",route.url(world),query=q); d=time.time()-t
                out.append((round(d*1000),route.path,who,q,len(a.data)))
        for o in sorted(out,key=lambda o:-o[0])[:25]: print(o)
