# installShellCompletion NAME.bash NAME.fish NAME.zsh
installShellCompletion() {
    local file dir name
    for file; do
        name=${file%.*}
        case $file in
        *.bash) dir=bash-completion/completions name=$file ;;
        *.fish) dir=fish/vendor_completions.d name=$file ;;
        *.zsh) dir=zsh/site-functions name=_$name ;;
        *) echo "installShellCompletion: $file is for no shell" >&2; return 1 ;;
        esac
        mkdir -p "$out/share/$dir"
        cp "$file" "$out/share/$dir/$name"
    done
}
