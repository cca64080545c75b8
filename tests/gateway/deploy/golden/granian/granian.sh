#!/bin/sh
# Made by: gateway generate granian --set application=shop:app --set hosts=shop.example.com --set name=shop (anytier VERSION)
# R40: exec, so that the stop signal reaches granian.
# R5: drain 10 s and the longest request 25 s; granian waits for its workers without an end otherwise.
# R6: let the process manager wait 50 s. granian takes no socket from systemd.
exec granian shop:app \
    --interface wsgi \
    --host 127.0.0.1 --port 8000 \
    --workers 2 --workers-kill-timeout 35 \
    --blocking-threads 8 \
    --backlog 512 \
    --no-access-log
