#!/bin/sh
# Makes the namespace with the runs' search attributes, and waits until the server lets them be used.
#
# TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE say which; NAMESPACE_RETENTION is set anew every time, and of
# SEARCH_ATTRIBUTES, which are all keywords, what is missing is added. Workers would add them too, but the webhook may
# accept the first alert before the first worker is up, and a run with an unknown attribute is refused.
set -eu

: "${TEMPORAL_NAMESPACE:?}" "${NAMESPACE_RETENTION:?}" "${SEARCH_ATTRIBUTES:?}"

# The server reads the list of namespaces every few seconds: until then it says that there is none of this name, or
# none with this attribute.
patiently() {
    attempt=1
    until error=$("$@" 2>&1 >/dev/null); do
        [ "$attempt" -lt 30 ] || {
            echo "still failing after 30 s: $*: $error" >&2
            return 1
        }
        attempt=$((attempt + 1))
        sleep 1
    done
}

if temporal operator namespace describe -n "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
    temporal operator namespace update -n "$TEMPORAL_NAMESPACE" --retention "$NAMESPACE_RETENTION"
else
    temporal operator namespace create -n "$TEMPORAL_NAMESPACE" --retention "$NAMESPACE_RETENTION" \
        --description "Durable runbooks"
fi
patiently temporal workflow count -n "$TEMPORAL_NAMESPACE"

known=$(temporal operator search-attribute list -n "$TEMPORAL_NAMESPACE")
for name in $SEARCH_ATTRIBUTES; do
    case $known in
    *"$name"*) ;;
    *) temporal operator search-attribute create -n "$TEMPORAL_NAMESPACE" --name "$name" --type Keyword ;;
    esac
done
for name in $SEARCH_ATTRIBUTES; do
    patiently temporal workflow count -n "$TEMPORAL_NAMESPACE" --query "$name = 'none'"
done
echo "namespace $TEMPORAL_NAMESPACE is ready"
