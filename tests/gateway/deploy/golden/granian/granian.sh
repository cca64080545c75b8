#!/bin/sh
# Made by: gateway generate granian --set application=shop:app --set hosts=shop.example.com --set name=shop (anytier VERSION)
# R40: exec, so that the stop signal reaches granian. It ends running requests by itself.
# R6: let the process manager wait 50 s. granian takes no socket from systemd.
exec granian shop:app \
    --interface wsgi \
    --host 127.0.0.1 --port 8000 \
    --workers 2 \
    --blocking-threads 8 \
    --backlog 512 \
    --no-access-log
