"""The systems: how each is installed, started and stopped, and where it says what has become of an image."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

from measure import CORES

HERE = pathlib.Path(__file__).parent.absolute()
PEERS = pathlib.Path(os.environ["PEERS"]).absolute()
BIN = pathlib.Path(os.environ["BIN"]).absolute()
PACKAGES = ["boto3", "celery>=5.5", "django>=5.2", "gunicorn>=23", "Pillow>=12", "psycopg[binary]>=3.2", "redis"]


def install():
    """Restarts in a venv with Django, Celery and Pillow; installs pg-boss and sharp where npm is."""
    PEERS.mkdir(parents=True, exist_ok=True)
    venv = PEERS / "venv"
    if sys.prefix != str(venv):
        if not venv.exists():
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
            subprocess.run([venv / "bin/pip", "install", "--quiet", *PACKAGES], check=True)
        os.execv(venv / "bin/python", [str(venv / "bin/python"), *sys.argv])
    if shutil.which("npm"):
        for name in ("package.json", "pgboss_app.mjs"):
            shutil.copy(HERE / name, PEERS / name)
        if not (PEERS / "node_modules").exists():
            subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--silent"], cwd=PEERS, check=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port, process, seconds=60):
    for _ in range(seconds * 20):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"{process.args} does not listen")


class System:
    """A system that runs, on a database, an S3 server and a directory of its own. A context."""

    # Of the processes: which one has children that render.
    split = None
    path, status = "/images", "/images/{}"
    pending = "SELECT count(*) FROM images WHERE status IN ('queued', 'processing')"
    failed = "SELECT count(*) FROM images WHERE status = 'failed'"
    finished = "SELECT id::text, finished_at FROM images WHERE status = 'ready'"
    rendering = None
    # How many images are worth measuring, compared with ours: the rest is waiting.
    share = 1.0

    def __init__(self, database, s3, directory):
        self.port, self.processes, self.directory = free_port(), {}, directory
        (directory / "staging").mkdir()
        self.environment = {**os.environ, **s3, "DATABASE_URL": database, "STAGING": str(directory / "staging")}
        self.address = f"127.0.0.1:{self.port}"

    def spawn(self, kind, command, **more):
        log = open(self.directory / f"{kind}.log", "w")
        environment = {**self.environment, **more}
        self.processes[kind] = subprocess.Popen(list(map(str, command)), env=environment, stdout=log, stderr=log, cwd=HERE,
                                                start_new_session=True)
        return self.processes[kind]

    def call(self, command):
        subprocess.run(list(map(str, command)), env=self.environment, cwd=HERE, check=True, stdout=subprocess.DEVNULL)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def roots(self):
        return {kind: process.pid for kind, process in self.processes.items()}


class Darkroom(System):
    """Release binaries with their defaults."""

    split = "worker"
    path, status = "/v1/images", "/v1/images/{}"
    finished = "SELECT id::text, extract(epoch FROM finished_at)::float8 FROM images WHERE status = 'ready'"

    def start(self):
        more = {"BIND": self.address, "STAGING_URL": f"file://{self.directory}/staging"}
        api = self.spawn("api", [self.binary("darkroom-api")], **more)
        await_port(self.port, api)
        self.spawn("worker", [self.binary("darkroom-worker")], **more)

    def binary(self, name):
        return BIN / name

    def fields(self, task):
        return {} if task == "standard" else {"width": task, "format": "jpeg"}


class Before(Darkroom):
    """The same of an earlier commit: BEFORE names the directory of its binaries."""

    def binary(self, name):
        return pathlib.Path(os.environ["BEFORE"]).absolute() / name


class Peer(System):
    """Both are asked in the same way."""

    def fields(self, task):
        sizes = [2560, 1600, 800, 320] if task == "standard" else [task]
        formats = ["jpeg", "webp"] if task == "standard" else ["jpeg"]
        return {"renditions": json.dumps([{"width": size, "format": name} for size in sizes for name in formats])}


class Django(Peer):
    """gunicorn with as many processes as cores, and Celery with twice as many, because its tasks also wait."""

    pending = "SELECT count(*) FROM bench_image WHERE status IN ('queued', 'processing')"
    failed = "SELECT count(*) FROM bench_image WHERE status = 'failed'"
    finished = "SELECT id::text, finished_at FROM bench_image WHERE status = 'ready'"
    rendering = "SELECT avg(rendering) FROM bench_image WHERE status = 'ready'"
    share = 0.4

    def start(self):
        self.start_broker()
        python = PEERS / "venv/bin/python"
        self.call([python, "-c", "import django_app; django_app.prepare()"])
        gunicorn = ["-m", "gunicorn", "--workers", CORES, "--threads", 4, "--keep-alive", 60, "--bind", self.address]
        api = self.spawn("api", [python, *gunicorn, "django_app:application"])
        celery = ["-m", "celery", "-A", "django_app:celery", "worker", "--loglevel=WARNING", f"--concurrency={2 * CORES}"]
        self.spawn("worker", [python, *celery, "--without-gossip", "--without-mingle", "--without-heartbeat"])
        await_port(self.port, api)

    def start_broker(self):
        """RabbitMQ where it is installed, else Redis, else Celery's own in a directory."""
        if shutil.which("rabbitmq-server"):
            home, port = self.directory / "rabbitmq", free_port()
            home.mkdir()
            (home / "rabbitmq.conf").write_text("loopback_users = none\n")
            more = {
                "HOME": home, "RABBITMQ_NODENAME": f"bench{port}@localhost", "RABBITMQ_NODE_PORT": port, "RABBITMQ_DIST_PORT": free_port(),
                "RABBITMQ_MNESIA_BASE": home, "RABBITMQ_LOG_BASE": home, "RABBITMQ_PID_FILE": home / "pid",
                "RABBITMQ_ENABLED_PLUGINS_FILE": home / "plugins", "RABBITMQ_CONFIG_FILE": home / "rabbitmq",
            }
            # Debian's wrapper of the name wants its own user.
            server = next(iter(pathlib.Path("/usr/lib/rabbitmq/bin").glob("rabbitmq-server")), "rabbitmq-server")
            broker = self.spawn("broker", [server], **{name: str(value) for name, value in more.items()})
            await_port(port, broker)
            url, options = f"amqp://guest:guest@127.0.0.1:{port}//", {"confirm_publish": True}
        elif shutil.which("redis-server"):
            port = free_port()
            broker = self.spawn("broker", ["redis-server", "--port", port, "--appendonly", "yes", "--dir", self.directory])
            await_port(port, broker)
            url, options = f"redis://127.0.0.1:{port}/0", {}
        else:
            folder = self.directory / "broker"
            folder.mkdir()
            url, options = "filesystem://", {"data_folder_in": str(folder), "data_folder_out": str(folder)}
        self.environment |= {"BROKER_URL": url, "BROKER_OPTIONS": json.dumps(options)}


def broker_name():
    return next((name for name, program in [("RabbitMQ", "rabbitmq-server"), ("Redis", "redis-server")] if shutil.which(program)),
                "Celery's filesystem broker")


class PgBoss(Peer):
    """One process of node that serves, and one that renders: sharp has threads of its own."""

    share = 0.6

    def start(self):
        program = [shutil.which("node"), PEERS / "pgboss_app.mjs"]
        self.call([*program, "prepare"])
        api = self.spawn("api", [*program, "api", self.port])
        self.spawn("worker", [*program, "worker"])
        await_port(self.port, api)


def found():
    """The systems that can run here, by name."""
    systems = {"Darkroom": Darkroom}
    if os.environ.get("BEFORE"):
        systems["before"] = Before
    systems[f"Django, Celery, Pillow ({broker_name()})"] = Django
    if shutil.which("npm"):
        systems["pg-boss, sharp"] = PgBoss
    wanted = os.environ.get("SYSTEMS")
    return {name: system for name, system in systems.items() if not wanted or any(part in name for part in wanted.split(";"))}
