"""Jobs as people see them: their own; all of them for an administrator."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs import queue
from jobs.models import Job
from tests.jobs.test_queue import ask


def test_one_sees_what_one_asked_for_and_an_administrator_all(people):
    job = ask(people)
    for who, status in [("operator", 200), ("administrator", 200), ("scientist", 404), ("outsider", 404)]:
        client = people.client(getattr(people, who))
        assert client.get(f"/jobs/{job.pk}/").status_code == status
        assert client.get(f"/jobs/{job.pk}/progress/").status_code == status
        assert (b"Add one" in client.get("/jobs/").content) is (status == 200)


def test_progress_asks_for_itself_until_the_job_is_done_and_then_goes_on(people):
    job, client = ask(people), people.client(people.operator)
    answer = client.get(f"/jobs/{job.pk}/progress/?go=1", headers={"HX-Request": "true"})
    assert f'hx-get="/jobs/{job.pk}/progress/?go=1"' in answer.content.decode() and "HX-Redirect" not in answer
    queue.run(job.pk)
    answer = client.get(f"/jobs/{job.pk}/progress/?go=1", headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == "/result/" and b"hx-get" not in answer.content


def test_a_failed_job_is_tried_again_by_who_asked_for_it(people):
    job = queue.run(ask(people, "tests.fail").pk)
    client = people.client(people.operator)
    assert b"the reason" in client.get(f"/jobs/{job.pk}/").content
    assert people.client(people.scientist).post(f"/jobs/{job.pk}/retry/").status_code == 404
    assert client.get(f"/jobs/{job.pk}/retry/").status_code == 405
    assert client.post(f"/jobs/{job.pk}/retry/").status_code == 302
    assert Job.objects.get(pk=job.pk).state == "queued"


def test_the_list_narrows_by_state_and_goes_page_by_page(people):
    for number in range(53):
        ask(people, key=str(number))
    queue.run(ask(people, "tests.fail").pk)
    client = people.client(people.operator)
    assert b"page=2" in client.get("/jobs/?state=queued").content
    assert client.get("/jobs/?state=queued&page=2").content.count(b'class="title"') == 3
    assert client.get("/jobs/?state=failed").content.count(b'class="title"') == 1


@pytest.mark.parametrize("url", ["/jobs/"])
def test_the_number_of_queries_does_not_grow(people, url):
    client = people.client(people.operator)

    def queries():
        with CaptureQueriesContext(connection) as caught:
            assert client.get(url).status_code == 200
        return len(caught)

    ask(people, key="a")
    queries()
    few = queries()
    for number in range(20):
        ask(people, key=str(number))
    assert queries() == few
