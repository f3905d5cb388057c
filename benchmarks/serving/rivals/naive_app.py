"""What one writes first: a FastAPI handler that runs the session, one image a time.

Run by uvicorn with uvloop and httptools, one process, no access log.
"""

from classifier import Classifier
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

app = FastAPI()
classifier = Classifier()


@app.get("/ready")
async def ready() -> JSONResponse:
    """Answer once the session is open."""
    return JSONResponse({})


# `async def` although the session blocks: handing each run to the pool of threads was slower.
# A JSONResponse skips FastAPI's validation of answers.
@app.post("/classify")
async def classify(request: Request) -> JSONResponse:
    """Classify the pixels in the body."""
    image = classifier.image(await request.body())
    return JSONResponse(classifier.answers(image[None])[0])
