#!/bin/sh
# Bring the S3 server versitygw into .cache.
set -eu
PART=s3
INTO=.cache
. tools/go_programs.sh
program versitygw v1.8.0 github.com/versity/versitygw/cmd/versitygw
