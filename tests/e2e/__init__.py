"""The step in real runners: Docker, GitHub's by act, GitLab's by gitlab-ci-local."""
