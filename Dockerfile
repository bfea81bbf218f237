# The server in production form. Policies, secrets and the SQLite database are in /instance.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/v6srv && /opt/v6srv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY v6srv ./v6srv
COPY policies ./policies
RUN /opt/v6srv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13-slim
RUN useradd --system --create-home --home-dir /instance v6srv
COPY --from=build /opt/v6srv /opt/v6srv
USER v6srv
ENV V6SRV_INSTANCE=/instance HOST=0.0.0.0 PORT=5000
EXPOSE 5000
VOLUME /instance
HEALTHCHECK CMD ["/opt/v6srv/bin/python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/api/health/live')"]
ENTRYPOINT ["/opt/v6srv/bin/v6srv"]
CMD ["serve"]
