"""Client of Label Studio's REST API; no other module of the review uses HTTP."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from refsav.errors import ConfigError, RefSavError

TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"  # noqa: S105 - the name of the variable
TIMEOUT_S = 60.0
EXPORT_TIMEOUT_S = 600.0
"""An export is one response; it takes about a second for a thousand tasks."""
CONNECT_TRIES = 3
PAGE_TASKS = 500
MESSAGE_CHARACTERS = 300

ADDRESS_FIX = "check that this is the address of Label Studio, and read its log"
MEDIA_FIX = (
    "give the folder that it serves local files from as --document-root, or serve the review folder and give its "
    "--media-url (docs/review.md, Media)"
)


class LabelStudioError(RefSavError):
    """Label Studio does not answer, refuses a request, or its response cannot be read."""


class NoProjectError(LabelStudioError):
    """The project of a run was deleted in Label Studio."""

    def __init__(self, address: str) -> None:
        fix = "push again, which creates a new one; answers that were pulled before are kept"
        super().__init__("the project of this run was deleted", fix=fix, path=address)


class LabelStudio:
    """A connection with a personal access token. Use it as a context manager."""

    def __init__(self, address: str) -> None:
        """Take the token from the environment and log in.

        Raises:
            ConfigError: If there is no token.
            LabelStudioError: If the server does not answer, or refuses the token.
        """
        self._address = address.rstrip("/")
        self._token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not self._token:
            raise ConfigError(
                "is not set",
                fix="set it to a personal access token of Label Studio: "
                "its page, Account & Settings, Personal Access Token",
                path=TOKEN_VARIABLE,
            )
        transport = httpx.HTTPTransport(retries=CONNECT_TRIES)
        self._client = httpx.Client(base_url=self._address, timeout=TIMEOUT_S, transport=transport)
        try:
            self._log_in()
        except BaseException:
            self._client.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._client.close()

    def find_project(self, mark: str) -> int | None:
        """Return the id of the first project whose description contains `mark`, or None."""
        page = 1
        while True:
            found = self._ask(
                "GET", "/api/projects/", params={"page": page, "page_size": 100, "include": "id,description"}
            )
            for project in found["results"]:
                if mark in (project["description"] or ""):
                    return int(project["id"])
            if not found["next"]:
                return None
            page += 1

    def has_project(self, project: int, mark: str) -> bool:
        """Return whether a project exists and has `mark` in its description: a new database reuses numbers."""
        try:
            return mark in (self._ask("GET", f"/api/projects/{project}/")["description"] or "")
        except NoProjectError:
            return False

    def create_project(self, title: str, description: str, label_config: str, annotators: int) -> int:
        """Create a project and return its id.

        Args:
            title: Its name, cut to 50 characters.
            description: Its description.
            label_config: The labelling page, as XML.
            annotators: How many annotators get each task.
        """
        settings = {
            "title": title[:50],
            "description": description,
            "label_config": label_config,
            "maximum_annotations": annotators,
            "show_collab_predictions": False,
        }
        return int(self._ask("POST", "/api/projects/", json=settings)["id"])

    def set_annotators(self, project: int, annotators: int) -> None:
        """Set how many annotators get each task of a project."""
        settings = {"maximum_annotations": annotators}
        if self._ask("GET", f"/api/projects/{project}/")["maximum_annotations"] != annotators:
            self._ask("PATCH", f"/api/projects/{project}/", json=settings)

    def serve_folder(self, project: int, folder: Path, file: str) -> None:
        """Let Label Studio serve a folder of its machine to the users of a project.

        Args:
            project: Number of the project.
            folder: The folder.
            file: URL path of one of its files, for a check.

        Raises:
            LabelStudioError: If it does not show that file.
        """
        storages = self._ask("GET", "/api/storages/localfiles", params={"project": project})
        if not any(storage["path"] == str(folder) for storage in storages):
            storage = {"project": project, "path": str(folder), "title": "RefSAV media", "use_blob_urls": False}
            self._ask("POST", "/api/storages/localfiles", json=storage, fix=MEDIA_FIX)
        answer = self._send("GET", file)
        if not answer.is_success:
            raise LabelStudioError(
                f"Label Studio does not show this file: HTTP {answer.status_code}",
                fix=MEDIA_FIX,
                path=f"{self._address}{file}",
            )

    def add_tasks(self, project: int, tasks: Sequence[dict[str, str]]) -> None:
        """Add tasks, each with its data."""
        self._ask("POST", f"/api/projects/{project}/import", json=[{"data": data} for data in tasks])

    def tasks(self, project: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield number and data of every task of a project."""
        page, total = 1, 1
        while (page - 1) * PAGE_TASKS < total:
            params = {"project": project, "page": page, "page_size": PAGE_TASKS, "resolve_uri": False}
            found = self._ask("GET", "/api/tasks", params=params | {"fields": "task_only"})
            yield from ((int(task["id"]), task["data"]) for task in found["tasks"])
            total, page = int(found["total"]), page + 1

    def change_task(self, task: int, data: dict[str, Any]) -> None:
        """Replace the data of a task; its annotations stay."""
        self._ask("PATCH", f"/api/tasks/{task}/", json={"data": data})

    def annotated_tasks(self, project: int) -> list[dict[str, Any]]:
        """Return every annotated task, as Label Studio exports it."""
        path, params = f"/api/projects/{project}/export", {"exportType": "JSON"}
        return list(self._ask("GET", path, params=params, timeout=EXPORT_TIMEOUT_S))

    def annotators(self) -> dict[int, str]:
        """Name all users of the server by their email address."""
        return {int(user["id"]): str(user["email"] or user["username"]) for user in self._ask("GET", "/api/users/")}

    def _log_in(self) -> None:
        """Exchange the personal access token for an access token, which is valid for some minutes."""
        answer = self._send("POST", "/api/token/refresh/", json={"refresh": self._token})
        if answer.status_code in (400, 401, 403):
            raise LabelStudioError(
                f"Label Studio refuses the token in {TOKEN_VARIABLE}",
                fix="create a new personal access token there (Account & Settings) and set the variable to it",
                path=self._address,
            )
        body = None if answer.status_code == httpx.codes.NOT_FOUND else self._json(answer, ADDRESS_FIX)
        if not isinstance(body, dict) or "access" not in body:
            raise LabelStudioError("is not a Label Studio server", fix=ADDRESS_FIX, path=self._address)
        self._client.headers["Authorization"] = f"Bearer {body['access']}"

    def _ask(self, method: str, path: str, *, fix: str = ADDRESS_FIX, **content: Any) -> Any:  # noqa: ANN401 - JSON, and what httpx takes
        answer = self._send(method, path, **content)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._log_in()
            answer = self._send(method, path, **content)
        return self._json(answer, fix)

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401 - what httpx takes
        try:
            return self._client.request(method, path, **content)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise LabelStudioError(
                f"Label Studio does not answer: {error or type(error).__name__}",
                fix="start it (make label-studio) or give its --address, then run the same command again; "
                "it continues from there",
                path=self._address,
            ) from None

    def _json(self, answer: httpx.Response, fix: str) -> Any:  # noqa: ANN401 - JSON
        address = f"{self._address}{answer.request.url.path}"
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NoProjectError(address)
        try:
            body = answer.json()
        except ValueError:
            body = None
        if answer.is_error or body is None:
            reason = " ".join(answer.text.split())[:MESSAGE_CHARACTERS]
            raise LabelStudioError(f"HTTP {answer.status_code}: {reason}", fix=fix, path=address)
        return body
