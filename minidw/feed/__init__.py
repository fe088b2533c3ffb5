"""Reading a file: how it is declared, where its bytes are, one survey, and one stream to COPY."""

from minidw.feed.feed import Feed
from minidw.feed.given import Input
from minidw.feed.known import named_feed
from minidw.feed.source import find_files
from minidw.feed.survey import SurveyedFile, survey

__all__ = ["Feed", "Input", "SurveyedFile", "find_files", "named_feed", "survey"]
