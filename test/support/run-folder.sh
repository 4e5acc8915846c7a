# For test scripts, by `source`: makes the folder $run. What works below it is ended when the script ends or is interrupted, and the
# folder and the shared memory of killed engines are removed.
run=$(mktemp -d)
clear_away() {
  local inodes="" found=yes inode
  for ((round = 0; round < 50 && ${#found} > 0; round++)); do
    found=""
    for process in /proc/[0-9]*; do
      case $(readlink "$process/cwd" 2>/dev/null) in
        "$run"/*)
          found=yes
          # A killed engine leaves its shared memory behind; a semaphore has another name there than in the map.
          inodes+=" $(awk '/ \/dev\/shm\//{print $5}' "$process/maps" 2>/dev/null || true)"
          kill -KILL "${process#/proc/}" 2>/dev/null || true
          ;;
      esac
    done
    [ -z "$found" ] || sleep 0.2
  done
  for inode in $(printf '%s\n' $inodes | sort -u); do
    find /dev/shm -maxdepth 1 -inum "$inode" -delete 2>/dev/null || true
  done
  rm -rf "$run"
}
trap clear_away EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
