# The server in production form: what it needs to run, and nothing more. What it keeps is in the volume /instance: the
# policies in use, the signing key, the decision log, and the database unless that is elsewhere. Beside it only temporary
# files are written, so `docker run --read-only --tmpfs /tmp` works. tests/install executes these steps.

FROM python:3.13-slim AS build
COPY requirements.lock /src/
RUN python -m venv --without-pip /opt/v6srv \
 && pip --python /opt/v6srv/bin/python install --no-cache-dir --require-hashes --requirement /src/requirements.lock
COPY pyproject.toml README.md LICENSE /src/
COPY policies /src/policies
COPY v6srv /src/v6srv
RUN pip --python /opt/v6srv/bin/python install --no-cache-dir --no-deps /src

FROM python:3.13-slim
RUN groupadd --gid 10001 v6srv \
 && useradd --uid 10001 --gid 10001 --home-dir /instance --shell /usr/sbin/nologin v6srv \
 && mkdir /instance && chown 10001:10001 /instance && chmod 0750 /instance
COPY --from=build /opt/v6srv /opt/v6srv
ENV PATH=/opt/v6srv/bin:/usr/local/bin:/usr/bin:/bin V6SRV_INSTANCE=/instance HOST=0.0.0.0
USER 10001:10001
WORKDIR /instance
VOLUME /instance
EXPOSE 5000
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["v6srv", "health"]
ENTRYPOINT ["v6srv"]
CMD ["serve"]
