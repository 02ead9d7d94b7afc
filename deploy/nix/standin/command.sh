# Runs the command that makes $out.
PATH=$path
eval "$command"
exit 0
