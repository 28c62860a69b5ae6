"""The Django side of `make bench-e2e`: a view that stores an upload and its row, and a Celery task that renders with Pillow.

gunicorn runs `django_app:application`, Celery runs `django_app:celery`. Written as their documentation says: the task is
published after the commit, acknowledged late, and connections to Postgres and S3 are kept. Uploads are not fsynced.
"""

import io
import json
import os
import pathlib
import time
import urllib.parse
import uuid

import boto3
import django
from botocore.config import Config
from celery import Celery
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import models, transaction
from django.http import JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from PIL import Image as Picture
from PIL import ImageOps

DATABASE = urllib.parse.urlsplit(os.environ["DATABASE_URL"])
UPLOADS = pathlib.Path(os.environ["STAGING"])

settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="bench", USE_TZ=True,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": DATABASE.path[1:], "USER": DATABASE.username,
        "PASSWORD": DATABASE.password, "HOST": DATABASE.hostname, "PORT": DATABASE.port, "CONN_MAX_AGE": None}},
)
django.setup()

celery = Celery("bench", broker=os.environ["BROKER_URL"])
celery.conf.update(
    task_acks_late=True, task_ignore_result=True, worker_prefetch_multiplier=1, worker_hijack_root_logger=False,
    broker_transport_options=json.loads(os.environ.get("BROKER_OPTIONS", "{}")), broker_connection_retry_on_startup=True,
)


class Image(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.CharField(max_length=200)
    status = models.CharField(max_length=20, default="queued", db_index=True)
    renditions = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.FloatField(null=True)
    # Processor time of Pillow, in seconds.
    rendering = models.FloatField(null=True)

    class Meta:
        app_label = "bench"


def prepare():
    from django.db import connection

    with connection.schema_editor() as editor:
        editor.create_model(Image)


@csrf_exempt
def upload(request):
    file = request.FILES["file"]
    image = Image(title=file.name, renditions=json.loads(request.POST["renditions"]))
    with open(UPLOADS / str(image.id), "wb") as staged:
        for chunk in file.chunks():
            staged.write(chunk)
    with transaction.atomic():
        image.save(force_insert=True)
        transaction.on_commit(lambda: render.delay(str(image.id)))
    return JsonResponse({"id": str(image.id), "status": image.status}, status=202)


def show(request, image):
    return JsonResponse({"id": image, "status": Image.objects.get(pk=image).status})


urlpatterns = [path("images", upload), path("images/<image>", show)]
application = get_wsgi_application()
bucket = None


def s3():
    """A client of this process: made after the fork."""
    global bucket
    if bucket is None:
        config = Config(s3={"addressing_style": "path"}, max_pool_connections=10)
        bucket = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name=os.environ["AWS_REGION"], config=config)
    return bucket


@celery.task
def render(number):
    image = Image.objects.get(pk=number)
    Image.objects.filter(pk=number).update(status="processing")
    began = time.thread_time()
    picture = Picture.open(UPLOADS / number)
    widths = sorted({rendition["width"] for rendition in image.renditions}, reverse=True)
    # Pillow decodes a JPEG at a smaller size where that suffices.
    picture.draft("RGB", (widths[0], widths[0]))
    picture = ImageOps.exif_transpose(picture).convert("RGB")
    files = []
    for width in widths:
        picture.thumbnail((width, picture.height), Picture.Resampling.LANCZOS)
        for rendition in image.renditions:
            if rendition["width"] == width:
                encoded = io.BytesIO()
                options = {"optimize": True} if rendition["format"] == "jpeg" else {}
                picture.save(encoded, rendition["format"], quality=80, **options)
                files.append((f"w{width}.{rendition['format']}", rendition["format"], encoded.getvalue()))
    spent = time.thread_time() - began
    for name, kind, data in files:
        s3().put_object(Bucket="darkroom", Key=f"django/{number}/{name}", Body=data, ContentType=f"image/{kind}")
    Image.objects.filter(pk=number).update(status="ready", finished_at=time.time(), rendering=spent)
    (UPLOADS / number).unlink()
