"""nginx with the configuration of examples/nginx.conf."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from tests.live import free_port

SAMPLE = Path(__file__).parents[2] / "examples" / "nginx.conf"

_FRAME = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{sample}
}}
"""


@dataclass(frozen=True)
class Proxy:
    """A running nginx."""

    url: str
    plain_url: str
    """Without TLS."""
    certificate: Path


def configuration(folder: Path, port: int, plain_port: int, servers: Sequence[int]) -> Path:
    """A file for `nginx -c`, with the sample as it stands but for ports and certificates."""
    _certificate(folder)
    sample = SAMPLE.read_text()
    upstream = "\n".join(f"server 127.0.0.1:{server};" for server in servers)
    sample = re.sub(r"(ssl_certificate\s+)[^;]+", rf"\g<1>{folder}/certificate.pem", sample)
    sample = re.sub(r"(ssl_certificate_key\s+)[^;]+", rf"\g<1>{folder}/key.pem", sample)
    sample = re.sub(r"listen 443\b", f"listen 127.0.0.1:{port}", sample)
    sample = re.sub(r"listen 80\b", f"listen 127.0.0.1:{plain_port}", sample)
    sample = sample.replace("server 127.0.0.1:5000;", upstream)
    file = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # who may write to the folder
    file.write_text(_FRAME.format(folder=folder, sample=sample, user=user))
    return file


@contextmanager
def running(nginx: str, folder: Path, *servers: int) -> Iterator[Proxy]:
    """nginx in front of the servers that listen on these ports."""
    port, plain_port = free_port(), free_port()
    file = configuration(folder, port, plain_port, servers)
    process = subprocess.Popen([nginx, "-c", str(file)], stderr=subprocess.DEVNULL)
    urls = f"https://127.0.0.1:{port}", f"http://127.0.0.1:{plain_port}"
    proxy = Proxy(*urls, folder / "certificate.pem")
    try:
        for _ in range(100):
            assert process.poll() is None, (folder / "error.log").read_text()
            try:
                requests.get(proxy.url, verify=str(proxy.certificate), timeout=5)
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        yield proxy
    finally:
        process.terminate()
        process.wait(timeout=10)


def _certificate(folder: Path) -> None:
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1"
    names = "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    command = ["openssl", *request.split(), *names.split(), *files]
    subprocess.run(command, check=True, capture_output=True)
