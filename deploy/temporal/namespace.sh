#!/bin/sh
# The namespace, with histories kept for 30 days. The worker adds its search attributes itself.
set -eu
until temporal operator cluster health; do sleep 2; done
temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 \
    || temporal operator namespace create -n "$TEMPORAL_NAMESPACE" --retention 720h
