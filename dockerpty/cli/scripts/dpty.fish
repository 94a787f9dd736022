# Completion of dpty for fish.
#
# For now:      dpty completion fish | source
# From now on:  dpty completion fish > ~/.config/fish/completions/dpty.fish

function __dpty_complete
    set -l before (commandline -opc)
    set -l word (commandline -ct)
    set -l program $before[1]
    type -q -f -- $program; or set program dpty # it is an alias
    set -e before[1]

    # Of what stands behind the cursor fish tells its scripts nothing.
    set -l answer ($program __complete fish (count $before) $before "$word" 2>/dev/null)
    set -l first (string split -- \t "$answer[1]")
    set -e answer[1]
    printf '%s\n' $answer
    if test "$first[1]" = files
        set -l prefix "$first[2]"
        for path in (__fish_complete_path (string sub -s (math (string length -- "$prefix") + 1) -- "$word"))
            printf '%s%s\n' "$prefix" $path
        end
    end
end

complete -c dpty -f -a '(__dpty_complete)'
