# The service alone: no torch, no compiler, no root.
#
#   docker build -t assay .
#   docker run --rm --stop-timeout 30 -p 127.0.0.1:8000:8000 -e ASSAY_API_KEYS=change-me assay
#
# Nothing is written but what shells and compilers need: --read-only, and for languages that are
# added to the image --tmpfs /tmp:exec. `make test-container` tries it.
#
# Settings: -e ASSAY_..., or -v ./assay.toml:/etc/assay.toml and `serve --config /etc/assay.toml`.

FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
COPY app app
COPY verifiers verifiers
COPY judges judges
RUN python -m venv /opt/assay \
 && /opt/assay/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.12-slim
RUN useradd --uid 10001 --no-create-home assay
COPY --from=build /opt/assay /opt/assay
ENV PATH=/opt/assay/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["assay"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
