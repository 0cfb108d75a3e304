#!/bin/sh
# Makes what docker-compose.temporal.yml needs and the tree must not hold: passwords, keys, tokens.
#
#   deploy/secrets.sh                       make what is missing; what is there stays as it is
#   deploy/secrets.sh --kubeconfig FILE     and let the workers use the cluster of FILE
#   deploy/secrets.sh --slack-token FILE --slack-app-token FILE --oidc-client-secret FILE
#                                           and take over what others have given you; FILE may be /dev/stdin
#
# They go to $RUNBOOKS_SECRETS, by default var/secrets in the checkout.
#
# The folder is for its owner alone (0700), which keeps everybody else of this machine out. The files in it can be
# read by all (0444), since compose shows them to containers as they are, and each container runs as another user.
# The gateway's private key is for no container, and 0600; the operators' page and the Slack process have one each, so
# that one can be taken away without the others. Lose the archive's, and nothing is added to the chain any more; what is
# in it stays valid: keep audit_public_key.pem, and copies of it elsewhere.
#
# What is not given yet is an empty file: what needs it refuses to start, and everything else goes on without.
set -eu

fail() {
    echo "secrets.sh: $*" >&2
    exit 1
}

# Names of files, each `--like-this FILE`; all are looked at before anything is written.
given="kubeconfig slack_token slack_app_token oidc_client_secret"
for name in $given; do eval "from_$name="; done
while [ $# -gt 0 ]; do
    known=
    for name in $given; do
        [ "$1" = "--$(printf %s "$name" | tr _ -)" ] || continue
        known=$name
        [ $# -ge 2 ] || fail "$1: give a file"
        [ -r "$2" ] || fail "$1: cannot read $2"
        eval "from_$name=\$2"
        shift 2
        break
    done
    [ -n "$known" ] || fail "unknown argument $1 (known: --kubeconfig, --slack-token, --slack-app-token," \
        "--oidc-client-secret, each with a FILE)"
done

here=$(cd "$(dirname "$0")/.." && pwd)
folder=${RUNBOOKS_SECRETS:-$here/var/secrets}
umask 077
mkdir -p "$folder"
chmod 700 "$folder"

# Whole or not at all: a half-written password would be found, and kept, by the next run.
put() { # NAME MODE < content
    cat >"$folder/.new"
    [ -s "$folder/.new" ] || fail "$1: nothing to write"
    chmod "$2" "$folder/.new"
    mv -f "$folder/.new" "$folder/$1"
}

random() { # 256 bits, and no character that a URL or a shell would read otherwise
    od -An -tx1 -N32 /dev/urandom | tr -d ' \n'
}

made=
for name in temporal_db_admin_password temporal_db_password \
    records_db_admin_password records_db_owner_password records_db_password records_db_status_page_password \
    webhook_token web_secret grafana_admin_password; do
    if [ ! -s "$folder/$name" ]; then
        random | put "$name" 444
        made="${made:+$made }$name"
    fi
done

# 32 bytes as the sign-in reads them: 64 hexadecimal digits would be none of the lengths that it takes.
if [ ! -s "$folder/sign_in_cookie_secret" ]; then
    random | cut -c 1-32 | tr -d '\n' | put sign_in_cookie_secret 444
    made="${made:+$made }sign_in_cookie_secret"
fi

# Always written anew, so that they follow a password that was changed.
password_of() { cat "$folder/$1"; }
printf 'postgresql://runbooks_owner:%s@records-db:5432/runbooks\n' "$(password_of records_db_owner_password)" |
    put records_owner_url 444
printf 'postgresql://runbooks:%s@records-db:5432/runbooks\n' "$(password_of records_db_password)" |
    put records_url 444
printf 'postgresql://runbooks_status_page:%s@records-db:5432/runbooks\n' \
    "$(password_of records_db_status_page_password)" | put status_page_records_url 444

ed25519() { # NAME MODE
    if [ ! -s "$folder/$1" ]; then
        command -v openssl >/dev/null || fail "openssl is needed, for Ed25519 keys"
        key=$(openssl genpkey -algorithm ed25519) || fail "this openssl makes no Ed25519 keys: 1.1.1 or newer is needed"
        printf '%s\n' "$key" | put "$1" "$2"
        made="${made:+$made }$1"
    fi
}
# Approvals: a private key signs what an authenticated person decided, the workers know the public ones.
ed25519 gateway_private_key.pem 600
ed25519 web_private_key.pem 444
ed25519 slack_private_key.pem 444
# The archive of closed runs: workers sign it, and whoever has the public key can verify it.
ed25519 audit_private_key.pem 444
openssl pkey -in "$folder/audit_private_key.pem" -pubout | put audit_public_key.pem 444
# Workers trust these keys, and the one before each for as long as that lies beside it under the name `….old.pem`.
public_key() { # the last 32 bytes of its DER form, in base64
    public=$(openssl pkey -in "$1" -pubout -outform DER | tail -c 32 | openssl base64 -A)
    [ "${#public}" -eq 44 ] || fail "$1 is no Ed25519 key that this openssl can read"
    printf '"%s"' "$public"
}
trusted=
for who in gateway web slack; do
    for file in "$folder/${who}_private_key.pem" "$folder/${who}_private_key.old.pem"; do
        [ -s "$file" ] || continue
        key=$(public_key "$file")
        trusted="${trusted:+$trusted,}$key"
    done
done
printf 'RUNBOOKS_APPROVALS__PUBLIC_KEYS=[%s]\n' "$trusted" | put approvals.env 444

take() { # NAME: what was given for it, without the line break that editors end files with
    eval "file=\$from_$1"
    [ -n "$file" ] || return 0
    content=$(cat "$file")
    printf %s "$content" | put "$1" 444
    made="${made:+$made }$1"
}
for name in slack_token slack_app_token oidc_client_secret; do
    take "$name"
    [ -e "$folder/$name" ] || (: >"$folder/$name" && chmod 444 "$folder/$name")
done

if [ -n "$from_kubeconfig" ]; then
    put kubeconfig 444 <"$from_kubeconfig"
    made="${made:+$made }kubeconfig"
elif [ ! -s "$folder/kubeconfig" ]; then
    put kubeconfig 444 <<'NONE'
apiVersion: v1
kind: Config
current-context: none
clusters: [{name: none, cluster: {server: "https://kubernetes.invalid:6443"}}]
users: [{name: none, user: {}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
NONE
    echo "secrets.sh: no cluster yet: until you give one (--kubeconfig FILE), every step in Kubernetes fails" >&2
fi

echo "secrets.sh: made ${made:-nothing}, in $folder"
