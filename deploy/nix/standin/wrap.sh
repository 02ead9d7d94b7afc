# wrapProgram PROGRAM --prefix NAME SEPARATOR VALUE
wrapProgram() {
    local program=$1 hidden
    [ $# = 5 ] && [ "$2" = --prefix ] || { echo "wrapProgram: the stand-in knows one --prefix only" >&2; return 1; }
    hidden=$(dirname "$program")/.$(basename "$program")-wrapped
    mv "$program" "$hidden"
    printf '%s\n' "#! /bin/bash" "export $3=\"$5\${$3:+$4\$$3}\"" "exec -a \"\$0\" \"$hidden\" \"\$@\"" > "$program"
    chmod +x "$program"
}
dirname() { printf '%s\n' "${1%/*}"; }
basename() { printf '%s\n' "${1##*/}"; }
