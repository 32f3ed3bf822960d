"""A greenlet prints periodically while a subprocess works. After that, the greenlet is killed.

Prints "cron" about five times, and then
    Linux
"""

import gcron
from gcron.subprocess import PIPE, Popen


def cron() -> None:
    while True:
        print("cron")
        gcron.sleep(0.2)


ticking = gcron.spawn(cron)
process = Popen("sleep 1; uname", shell=True, stdout=PIPE)
output, _ = process.communicate()
ticking.kill()
print(output.decode().rstrip())
